"""Every product in configs/products, built by doit; see `doit list`."""

from stages.schedule import doit_tasks

globals().update(doit_tasks("configs/products"))
