"""``python -m rs_order``: the same as the command ``rs-order``."""

from rs_order.domain.identity import SERVICE
from rs_order.entrypoints.cli import app

if __name__ == "__main__":
    app(prog_name=SERVICE)
