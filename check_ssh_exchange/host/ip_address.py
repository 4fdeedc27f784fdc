"""IP addresses in one spelling, that of the kernel, of sshd and of what bans addresses: text can be compared. Pure."""


def plain(text: str) -> str:
    """Return an address without its scope and in its shortest form, ::ffff:192.0.2.1 as 192.0.2.1; other text as it is.

    A socket for both families gives a client of IPv4 the mapped form, and everything here speaks of it as IPv4.
    """
    import ipaddress

    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return text
    return str(getattr(found, "ipv4_mapped", None) or found)


def is_address(text: str) -> bool:
    """Return whether this is an address."""
    import ipaddress

    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
