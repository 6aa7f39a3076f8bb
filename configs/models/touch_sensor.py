"""A synthetic mutual-capacitance touch panel: scenes of nothing, fingers, water and palms as 5 x 6 grids of counts.

No public data set of this kind exists, so these data are made by a model, and nothing here was measured on a panel.
What the model assumes:

* Geometry: 5 x 6 sensing nodes at a pitch of 4.5 mm. A node integrates over its own cell (a 3 x 3 sub-grid).
* A finger is grounded and takes field away: the mutual capacitance falls, here a positive change, as a Gaussian of
  7 to 10 mm full width at half maximum, anisotropic by up to 20 %, with force setting its height. One or two fingers.
* A palm is a large, flat-topped, tilted ellipse that reaches in from an edge and saturates, softer at its rim.
* Water is not grounded: it couples transmitter to receiver, so its change has the other sign and is weaker; drops and
  films are irregular and sharp-edged. A film that reaches the frame is partly grounded and shows a weak positive rim.
* The chain: gain spread of 5 % per node, baseline drift as a plane plus an offset, white noise, noise common to a row
  (the receivers are sampled together), display noise in columns, then an 8-bit converter that saturates.

Values are counts / 128, so every input is a multiple of 1/128 in [-1, 1).
"""

import numpy as np
import numpy.typing as npt

ROWS, COLUMNS, PITCH_MM, SUB = 5, 6, 4.5, 3
CLASSES = ("none", "finger", "water", "palm")
Grid = npt.NDArray[np.float64]


def scenes(seed: int, count: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """`count` scenes: x (count, 30) float32, multiples of 1/128 in [-1, 1); y (count,) indices into CLASSES."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(CLASSES), count)
    makers = (_nothing, _fingers, _water, _palm)
    x = np.stack([_measure(makers[label](rng), rng) for label in labels])
    return x.reshape(count, ROWS * COLUMNS).astype(np.float32), labels.astype(np.int64)


def _axes() -> tuple[Grid, Grid]:
    """Positions of the sub-grid in millimetres, (ROWS * SUB, COLUMNS * SUB) each."""
    y = (np.arange(ROWS * SUB) + 0.5) * PITCH_MM / SUB
    x = (np.arange(COLUMNS * SUB) + 0.5) * PITCH_MM / SUB
    grid_y, grid_x = np.meshgrid(y, x, indexing="ij")
    return grid_y, grid_x


def _somewhere(rng: np.random.Generator) -> tuple[float, float]:
    return rng.uniform(0, ROWS * PITCH_MM), rng.uniform(0, COLUMNS * PITCH_MM)


def _blob(rng: np.random.Generator, width: float, height: float, centre: tuple[float, float]) -> Grid:
    grid_y, grid_x = _axes()
    angle, stretch = rng.uniform(0, np.pi), rng.uniform(0.9, 1.1)
    dy, dx = grid_y - centre[0], grid_x - centre[1]
    u, v = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    sigma = width / 2.355
    made: Grid = height * np.exp(-0.5 * ((u / (sigma * stretch)) ** 2 + (v * stretch / sigma) ** 2))
    return made


def _nothing(rng: np.random.Generator) -> Grid:
    return np.zeros((ROWS * SUB, COLUMNS * SUB))


def _fingers(rng: np.random.Generator) -> Grid:
    first = _somewhere(rng)
    field = _blob(rng, rng.uniform(7, 10), rng.uniform(40, 100), first)
    if rng.random() < 0.25:
        second = _somewhere(rng)
        if np.hypot(first[0] - second[0], first[1] - second[1]) > 12:
            field += _blob(rng, rng.uniform(7, 10), rng.uniform(40, 100), second)
    return field


def _water(rng: np.random.Generator) -> Grid:
    shape = np.zeros((ROWS * SUB, COLUMNS * SUB))
    for _ in range(rng.integers(1, 5)):
        shape = np.maximum(shape, _blob(rng, rng.uniform(4, 16), 1.0, _somewhere(rng)))
    wet = shape > rng.uniform(0.35, 0.6)
    field = -rng.uniform(20, 48) * wet * rng.uniform(0.75, 1.0, wet.shape)
    if rng.random() < 0.3:
        rim = np.zeros_like(field)
        rim[:SUB] = rim[:, :SUB] = 1.0
        field = np.where(wet & (rim > 0), rng.uniform(2, 12), field)
    return field


def _palm(rng: np.random.Generator) -> Grid:
    grid_y, grid_x = _axes()
    side = rng.integers(4)
    reach = rng.uniform(0.0, 7.0)
    y, x = _somewhere(rng)
    y = (-2 + reach, ROWS * PITCH_MM + 2 - reach, y, y)[side]
    x = (x, x, -2 + reach, COLUMNS * PITCH_MM + 2 - reach)[side]
    tilt, long, short = rng.uniform(0, np.pi), rng.uniform(13, 28), rng.uniform(10, 18)
    dy, dx = grid_y - y, grid_x - x
    u, v = dx * np.cos(tilt) + dy * np.sin(tilt), dy * np.cos(tilt) - dx * np.sin(tilt)
    radius = np.hypot(u / long, v / short)
    made: Grid = rng.uniform(45, 150) / (1 + np.exp((radius - 0.8) * rng.uniform(10, 22)))
    return made


def _measure(field: Grid, rng: np.random.Generator) -> Grid:
    """From the field on the sub-grid to counts / 128 on the nodes."""
    nodes = field.reshape(ROWS, SUB, COLUMNS, SUB).mean(axis=(1, 3))
    nodes = nodes * rng.normal(1.0, 0.05, nodes.shape)
    slope = np.linspace(-1, 1, COLUMNS) * rng.normal(0, 2) + np.linspace(-1, 1, ROWS)[:, None] * rng.normal(0, 2)
    nodes = nodes + slope + rng.normal(0, 2.5)
    nodes = nodes + rng.normal(0, 2.5, nodes.shape) + rng.normal(0, 2.0, (ROWS, 1)) + rng.normal(0, 1.0, (1, COLUMNS))
    counts: Grid = np.clip(np.rint(nodes), -128, 127) / 128.0
    return counts
