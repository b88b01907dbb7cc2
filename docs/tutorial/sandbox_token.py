"""Print a token that the sandbox and an rs_order beside it accept.

usage: sandbox_token.py EMAIL [ROLE]

On a real platform a user gets this token from rs-authentication when they log in. The sandbox has no
login, so this program signs the token itself, with the development key. Never use that key elsewhere.
"""

import sys
import time

import jwt

DEVELOPMENT_KEY = "!!!!!==========abcdefghijklmnopqrstuvwxyz0123456789==========!!!!!"
TWO_HOURS = 7200


def token(email: str, role: str = "REGISTERED_USER") -> str:
    """Return a token of a user of the project ``demo``, valid for two hours."""
    claims = {
        "tenant": "demo",
        "role": role,
        "sub": email,
        "email": email,
        "exp": int(time.time()) + TWO_HOURS,
    }
    return jwt.encode(claims, DEVELOPMENT_KEY, algorithm="HS512")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: sandbox_token.py EMAIL [ROLE]")
    print(token(*sys.argv[1:]))
