"""``python -m rs_order``: the same as the command ``rs-order``."""

from rs_order.cli import app
from rs_order.domain.identity import SERVICE

if __name__ == "__main__":
    app(prog_name=SERVICE)
