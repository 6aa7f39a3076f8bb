"""Random whole networks, drawn from a seed, written in every form that chipfit reads, and compared with other programs.

`python -m networks --count 1000 --seed 7 --style qdq`, from `tests/`. Not hypothesis: a network takes hundreds of
draws, and what is slow to draw is slow to run ten thousand times; a seed replays, and `shrink` knows what a network is.
"""
