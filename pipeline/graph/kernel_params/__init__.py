"""The parameters of every kernel: one frozen dataclass for each C struct of the contract headers, member for member."""
