"""The image's health check: exit code 0 if the exporter answers, else 1 and a sentence.

HEALTHCHECK_URL names another address, `https://...` where a web configuration has TLS. An answer that asks for a user
(401) or for patience (429) is an answer. A certificate is not looked at: this is the container's own loopback.
"""

import http.client
import os
import ssl
import sys
from urllib.parse import urlsplit

URL = "http://127.0.0.1:10922/-/healthy"
SECONDS = 4.0  # less than the timeout in Containerfile, so that the sentence gets out
ANSWERS = (200, 401, 429)


def connection(scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
    """Return a connection, not opened yet."""
    if scheme != "https":
        return http.client.HTTPConnection(host, port, timeout=SECONDS)
    unverified = ssl.create_default_context()
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(host, port, timeout=SECONDS, context=unverified)


def main() -> int:
    """Ask once and return the exit code."""
    url = os.environ.get("HEALTHCHECK_URL", URL)
    try:
        parts = urlsplit(url)
        asked = connection(parts.scheme, parts.hostname or "", parts.port)
        asked.request("GET", parts.path or "/")
        status = asked.getresponse().status
    except (OSError, ValueError, http.client.HTTPException) as error:
        print(f"{url}: {error}")
        return 1
    print(f"{url}: {status}")
    return 0 if status in ANSWERS else 1


if __name__ == "__main__":
    sys.exit(main())
