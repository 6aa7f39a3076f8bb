"""Train the dense digit classifier (HardTanh MLP 64-32-16-10) and write digits_mlp.onnx and .npz beside this file.

Run with the `train` extra installed: python configs/models/digits_mlp.py. The shape is the one that other generators'
figures for Cortex-M0 exist for, so that cycles can be compared. Data: scikit-learn's digits, split as in digits.py.
Exported with the TorchScript exporter, fixed batch.
"""

from pathlib import Path

import numpy as np
import torch
from digits import shifted
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from training import prove_held_out, report, train

HERE = Path(__file__).parent


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    images, labels = load_digits(return_X_y=True)
    x, y = (images.reshape(-1, 1, 8, 8) / 16).astype(np.float32), labels.astype(np.int64)
    rest_x, held_x, rest_y, held_y = train_test_split(x, y, test_size=450, random_state=0, stratify=y)
    train_x, calibration, train_y, _ = train_test_split(rest_x, rest_y, test_size=256, random_state=0, stratify=rest_y)
    prove_held_out(held_x, np.concatenate([train_x, calibration]))
    more_x, more_y = shifted(train_x, train_y)
    layers = [
        torch.nn.Linear(64, 32), torch.nn.Hardtanh(),
        torch.nn.Linear(32, 16), torch.nn.Hardtanh(),
        torch.nn.Linear(16, 10),
    ]  # fmt: skip
    model = torch.nn.Sequential(*layers)
    train(model, more_x.reshape(-1, 64), more_y, epochs=150, rate=5e-3)
    report(model, held_x.reshape(-1, 64), held_y)
    torch.onnx.export(
        model, (torch.zeros(1, 64),), str(HERE / "digits_mlp.onnx"), input_names=["input"], output_names=["logits"],
        dynamo=False, opset_version=17,
    )  # fmt: skip
    np.savez_compressed(HERE / "digits_mlp.npz", x=held_x.reshape(-1, 64), y=held_y, calib=calibration.reshape(-1, 64))


if __name__ == "__main__":
    main()
