"""`chipfit sign`: what a build says of itself, signed with a key of the user's."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.facts.errors import ChipfitError, ManyErrors
from stages.app.options import Options


def sign(arguments: Sequence[str]) -> int:
    """Write the envelopes of products that are as they were built; raises ChipfitError for one that is not."""
    from stages.app.signing import remove_drafts, sign_report
    from stages.app.verification import built_products, differences, named_products

    form = Options("sign")
    form.add_argument("build", nargs="?", default="build", help="a build folder, or that of one product in it")
    form.add_argument("product", nargs="*", help="names of products (default: all)")
    form.add_argument("--key", type=Path, required=True, metavar="FILE", help="a private key in PEM: Ed25519 or ECDSA")
    options = form.parse_args(arguments)
    folders = named_products(built_products(Path(options.build)), options.product)
    for folder in folders:
        remove_drafts(folder)  # else what a killed run left would be a file that no build wrote
    changed = [ChipfitError(f"{line}; it is not signed", place=str(f)) for f in folders for line in differences(f)]
    if changed:
        raise ManyErrors(changed)
    for folder in folders:
        for path in sign_report(folder, options.key):
            print(path)
    return 0
