#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Takes packets apart that guests have recorded, with scapy, which has its own IPsec.

captures.py DIRECTORY...: for each NAME.pcap there, NAME.json says who sent them, how many there are,
the SAs to take off, outside to inside, and which layers are left then. It is a failure if there are none.
"""

import json
import logging
import pathlib
import sys
import warnings
import zlib

# scapy has things to say about the computer's interfaces, which are not used; cryptography about 3DES.
logging.getLogger("scapy").setLevel(logging.ERROR)
warnings.simplefilter("ignore")

from scapy.all import IP, IPv6, rdpcap  # noqa: E402
from scapy.layers.ipsec import AH, ESP, SecurityAssociation  # noqa: E402


IPCOMP = 108
# What is longer, and is the pattern of ping, gets shorter by compression.
LONG = 1000


def association(layer):
    """The SA that takes off a layer."""
    arguments = {}
    if layer["encrypt"]:
        name, key = layer["encrypt"]
        arguments.update(crypt_algo=name, crypt_key=bytes.fromhex(key))
    if layer["auth"]:
        name, key = layer["auth"]
        arguments.update(auth_algo=name, auth_key=bytes.fromhex(key))
    protocol = {"AH": AH, "ESP": ESP}[layer["proto"]]
    return SecurityAssociation(protocol, spi=layer["spi"], **arguments)


def names(packet):
    """The names of a packet's layers, without those that carry bytes only."""
    layers = [layer.__name__ for layer in packet.layers()]
    return [name for name in layers if name not in ("Raw", "Padding")]


def ends(packet):
    """Source and destination of the innermost IP header."""
    innermost = packet
    while isinstance(innermost.payload, (IP, IPv6)):
        innermost = innermost.payload
    return [innermost.src, innermost.dst]


def decompress(packet, cpi):
    """Takes off IPComp (RFC 3173), which scapy does not know. What is short may come without."""
    content = bytes(packet.payload)
    if (packet.proto if packet.version == 4 else packet.nh) != IPCOMP:
        if len(content) > LONG:
            raise ValueError(f"{len(content)} bytes are not compressed")
        return packet
    if int.from_bytes(content[2:4], "big") != cpi:
        raise ValueError(f"CPI {content[2:4].hex()}, expected {cpi:#x}")
    # Without the header of zlib's own format.
    inside = zlib.decompress(content[4:], -zlib.MAX_WBITS)
    if packet.version == 4:
        header = IP(src=packet.src, dst=packet.dst, proto=content[0])
    else:
        header = IPv6(src=packet.src, dst=packet.dst, nh=content[0])
    return type(packet)(bytes(header / inside))


def take_off(packet, layer):
    """Takes off one layer, checking who sent it; fails if an ICV is wrong."""
    if layer["proto"] == "IPCOMP":
        return decompress(packet, layer["spi"])
    if packet.haslayer(layer["proto"]) and packet[layer["proto"]].spi != layer["spi"]:
        raise ValueError(f"SPI {packet[layer['proto']].spi:#x}, expected {layer['spi']:#x}")
    packet = association(layer).decrypt(packet)
    # Read anew: scapy leaves what was inside AH as bytes.
    return type(packet)(bytes(packet))


def take_apart(packet, expected):
    """Takes off the layers."""
    for layer in expected["layers"]:
        # What is taken off is behind the last header: that of a tunnel in another.
        while isinstance(packet.payload, (IP, IPv6)) and packet.payload.src == expected["src"]:
            packet = packet.payload
        packet = take_off(packet, layer)
    return packet


def check(path):
    """Checks one capture; says what is wrong."""
    expected = json.loads(path.with_suffix(".json").read_text())
    found = 0
    for frame in rdpcap(str(path)):
        packet = frame if isinstance(frame, (IP, IPv6)) else frame.payload
        if not isinstance(packet, (IP, IPv6)) or packet.src != expected["src"]:
            continue
        found += 1
        packet = take_apart(packet, expected)
        if names(packet) != expected["inside"]:
            raise ValueError(f"inside is {names(packet)}, expected {expected['inside']}")
        if ends(packet) != expected["ends"]:
            raise ValueError(f"inside is {ends(packet)}, expected {expected['ends']}")
    if found != expected["packets"]:
        raise ValueError(f"{found} packets, expected {expected['packets']}")


def main():
    passed = failed = 0
    paths = [path for name in sys.argv[1:] for path in pathlib.Path(name).glob("*.pcap")]
    for path in sorted(paths):
        try:
            check(path)
            passed += 1
            print(f"ok {path.stem}")
        except Exception as error:  # noqa: BLE001 - whatever is wrong fails the capture
            failed += 1
            print(f"FAILED {path.stem}: {type(error).__name__}: {error}")
    if not paths:
        failed = 1
        print(f"FAILED no captures in {' '.join(sys.argv[1:]) or 'no directory'}")
    print(f"{passed} passed, {failed} failed")
    return failed != 0


sys.exit(main())
