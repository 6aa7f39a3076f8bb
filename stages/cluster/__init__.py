"""Stages of a build on other machines, by Dask: they meet the build in the shared store, and nowhere else."""
