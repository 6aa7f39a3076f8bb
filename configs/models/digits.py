"""Train the digit classifier (HardTanh CNN on 8 x 8 images) and write digits.onnx and digits.npz beside this file.

Run with the `train` extra installed: python configs/models/digits.py. Data: scikit-learn's digits (UCI optical
recognition of handwritten digits, 1797 images), split once, stratified, into training, calibration and evaluation.
Exported with the TorchScript exporter, BatchNormalization kept and the batch dynamic, as many colleagues hand it over.
"""

from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from training import prove_held_out, report, train

HERE = Path(__file__).parent


def shifted(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The images and their copies moved by one pixel in four directions."""
    moves = [np.roll(images, step, axis) for axis in (2, 3) for step in (-1, 1)]
    return np.concatenate([images, *moves]), np.tile(labels, 5)


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    images, labels = load_digits(return_X_y=True)
    x, y = (images.reshape(-1, 1, 8, 8) / 16).astype(np.float32), labels.astype(np.int64)
    rest_x, held_x, rest_y, held_y = train_test_split(x, y, test_size=450, random_state=0, stratify=y)
    train_x, calibration, train_y, _ = train_test_split(rest_x, rest_y, test_size=256, random_state=0, stratify=rest_y)
    prove_held_out(held_x, np.concatenate([train_x, calibration]))
    layers = [
        torch.nn.Conv2d(1, 8, 3, padding=1), torch.nn.BatchNorm2d(8), torch.nn.Hardtanh(), torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(8, 16, 3, padding=1), torch.nn.BatchNorm2d(16), torch.nn.Hardtanh(), torch.nn.MaxPool2d(2),
    ]  # fmt: skip
    model = torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(64, 10))
    train(model, *shifted(train_x, train_y), epochs=60, rate=5e-3)
    report(model, held_x, held_y)
    torch.onnx.export(
        model, (torch.zeros(1, 1, 8, 8),), str(HERE / "digits.onnx"), input_names=["input"], output_names=["logits"],
        dynamic_axes={"input": {0: "batch"}, "logits": {0: "batch"}}, dynamo=False, opset_version=17,
        training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False,
    )  # fmt: skip
    np.savez_compressed(HERE / "digits.npz", x=held_x, y=held_y, calib=calibration)


if __name__ == "__main__":
    main()
