"""Attempts to reach addresses that the network policy denies. Nothing leaves the machine: it has no link to another."""

from __future__ import annotations

from typing import Final

from escapes.case import Case, Control, grouped

_ROOT: Final = Control("root")
# Of the two variants, only the one with the network must succeed.
_ONLINE: Final = Control("pi-probe")
_OFF: Final = ("ENETUNREACH", "ECONNREFUSED", "EADDRNOTAVAIL")

_FAMILIES: Final = tuple(
    Case(
        f"socket-{name}{'-offline' if variant == 'pi-offline' else ''}",
        "network",
        f"make {what}" + (" without network" if variant == "pi-offline" else ""),
        f"socket.socket({code}).close()",
        # systemd refuses address families, the kernel the rest.
        ("EAFNOSUPPORT", "EPERM"),
        Control("root", gives=gives),
        variant,
    )
    for variant in ("pi-probe", "pi-offline")
    for name, what, code, gives in (
        ("raw", "a raw socket", "socket.AF_INET, socket.SOCK_RAW, 1", ("works",)),
        ("raw6", "a raw socket of IPv6", "socket.AF_INET6, socket.SOCK_RAW, 58", ("works",)),
        ("packet", "a socket below IP", "socket.AF_PACKET, socket.SOCK_RAW, 768", ("works",)),
        ("vsock", "a socket to the hypervisor", "40, socket.SOCK_STREAM", ("works", "EAFNOSUPPORT", "ENODEV")),
        ("crypto", "a socket to the kernel's ciphers", "38, socket.SOCK_SEQPACKET", ("works", "EAFNOSUPPORT")),
        ("bluetooth", "a Bluetooth socket", "31, socket.SOCK_RAW, 1", ("works", "EAFNOSUPPORT", "EPROTONOSUPPORT")),
        ("xdp", "a socket to the driver (AF_XDP)", "44, socket.SOCK_RAW, 0", ("works", "EAFNOSUPPORT")),
    )
)

_ADDRESS: Final = (
    # RTM_NEWADDR (20) with NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE: 192.0.2.99/32 on the loopback; see rtnetlink(7).
    "kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)\n"
    "word = struct.pack('BBBBi', 2, 32, 0, 0, 1) + struct.pack('HH4B', 8, 2, 192, 0, 2, 99)\n"
    "kernel.sendall(struct.pack('IHHII', 16 + len(word), 20, 0x405, 1, 0) + word)\n"
    "code = struct.unpack('i', kernel.recv(4096)[16:20])[0]\n"
    "if code: raise OSError(-code, 'netlink')"
)
_ANOTHER: Final = Control("root", "os.unshare(os.CLONE_NEWNET)\n" + _ADDRESS)
_DNS: Final = (
    "client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
    "client.connect(('192.0.2.10', 53))\nclient.send(b'question')"
)

CASES: Final = grouped(
    "network",
    *_FAMILIES,
    Case("address", "network", "give the machine another address", _ADDRESS, ("EPERM",), _ANOTHER),
    Case(
        "address-offline",
        "network",
        "give itself an address without network",
        _ADDRESS,
        ("EPERM",),
        _ANOTHER,
        "pi-offline",
    ),
    Case(
        "low-port",
        "network",
        "serve where services of the system do",
        "socket.create_server(('127.0.0.1', 81)).close()",
        ("EACCES",),
        _ROOT,
    ),
    *(
        Case(f"offline-{name}", "network", f"reach {what} without network", code, denied, _ONLINE, "pi-offline")
        for name, what, code, denied in (
            (
                "loopback",
                "a server on 127.0.0.1",
                "connect(socket.AF_INET, ('127.0.0.1', there.port))",
                ("ECONNREFUSED",),
            ),
            ("loopback6", "a server on ::1", "connect(socket.AF_INET6, ('::1', there.port6))", _OFF),
            (
                "mapped",
                "a server on ::ffff:127.0.0.1",
                "connect(socket.AF_INET6, ('::ffff:127.0.0.1', there.port))",
                _OFF,
            ),
            ("name", "a server by its name", "connect(socket.AF_INET, ('localhost', there.port))", ("ECONNREFUSED",)),
            ("host", "another host", "connect(socket.AF_INET, ('192.0.2.10', there.port_far))", ("ENETUNREACH",)),
            ("dns", "a name server", _DNS, ("ENETUNREACH",)),
            ("model", "the model", "connect(socket.AF_INET, (there.model, there.model_port))", ("ECONNREFUSED",)),
            (
                "abstract",
                "an abstract socket of the host",
                "connect(socket.AF_UNIX, '\\0checks-of-the-host')",
                ("ECONNREFUSED",),
            ),
            (
                "interfaces",
                "an interface that is no loopback",
                "found({name for _, name in socket.if_nameindex()} - {'lo'})",
                ("nothing",),
            ),
        )
    ),
)
