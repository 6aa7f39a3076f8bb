"""Train the touch classifier (HardTanh MLP 30-32-16-4) and write touch.onnx and touch.npz beside this file.

Run with the `train` extra installed: python configs/models/touch.py. The data are synthetic: see touch_sensor.py.
"""

from pathlib import Path

import numpy as np
import torch
from touch_sensor import scenes
from training import prove_held_out, report, train

HERE = Path(__file__).parent
SEEDS = {"training": 1, "calibration": 2, "evaluation": 3}


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    x, y = scenes(SEEDS["training"], 40_000)
    calibration, _ = scenes(SEEDS["calibration"], 512)
    held_x, held_y = scenes(SEEDS["evaluation"], 2_000)
    prove_held_out(held_x, np.concatenate([x, calibration]))
    layers = [torch.nn.Linear(30, 32), torch.nn.Hardtanh(), torch.nn.Linear(32, 16), torch.nn.Hardtanh()]
    model = torch.nn.Sequential(*layers, torch.nn.Linear(16, 4))
    train(model, x, y, epochs=40, rate=5e-3)
    report(model, held_x, held_y)
    torch.onnx.export(
        model, (torch.zeros(1, 30),), HERE / "touch.onnx", input_names=["input"], output_names=["logits"],
        dynamo=True, external_data=False,
    )  # fmt: skip
    np.savez_compressed(HERE / "touch.npz", x=held_x, y=held_y, calib=calibration)


if __name__ == "__main__":
    main()
