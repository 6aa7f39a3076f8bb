"""What the training scripts share: a seeded loop that keeps weights small, figures, proof of held-out data."""

import numpy as np
import numpy.typing as npt
import torch


def train(
    model: torch.nn.Module, x: npt.NDArray[np.float32], y: npt.NDArray[np.int64], epochs: int, rate: float
) -> None:
    """AdamW with a cosine schedule; the weight decay keeps layers well conditioned for int8."""
    inputs, labels = torch.from_numpy(x), torch.from_numpy(y)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=2e-2)
    steps = epochs * (len(x) // 128)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    model.train()
    for _ in range(epochs):
        order = torch.randperm(len(x))
        for start in range(0, len(x) - 127, 128):
            rows = order[start : start + 128]
            loss = torch.nn.functional.cross_entropy(model(inputs[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    model.eval()


def report(model: torch.nn.Module, x: npt.NDArray[np.float32], y: npt.NDArray[np.int64]) -> None:
    """Print accuracy and the confusion matrix (rows: truth)."""
    with torch.no_grad():
        guess = model(torch.from_numpy(x)).argmax(1).numpy()
    print(f"float accuracy {np.mean(guess == y):.4f} on {len(y)} held-out samples")
    classes = int(y.max()) + 1
    print(np.bincount(y * classes + guess, minlength=classes * classes).reshape(classes, classes))


def prove_held_out(evaluation: npt.NDArray[np.float32], others: npt.NDArray[np.float32]) -> None:
    """Raise unless no evaluation sample equals any sample used for training or calibration."""
    seen = {row.tobytes() for row in others}
    shared = sum(row.tobytes() in seen for row in evaluation)
    print(f"evaluation samples that also occur in training or calibration: {shared} of {len(evaluation)}")
    if shared:
        raise SystemExit("the evaluation data are not held out")
