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

# scapy has things to say about the computer's interfaces, which are not used; cryptography about 3DES.
logging.getLogger("scapy").setLevel(logging.ERROR)
warnings.simplefilter("ignore")

from scapy.all import IP, IPv6, rdpcap  # noqa: E402
from scapy.layers.ipsec import AH, ESP, SecurityAssociation  # noqa: E402


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
    headers = [layer for layer in (IP, IPv6) if packet.haslayer(layer)]
    innermost = None
    for layer in headers:
        number = 1
        while packet.getlayer(layer, number) is not None:
            innermost = packet.getlayer(layer, number)
            number += 1
    return [innermost.src, innermost.dst]


def take_apart(packet, layers):
    """Takes off the layers, checking who sent it; fails if an ICV is wrong."""
    for layer in layers:
        if packet.haslayer(layer["proto"]) and packet[layer["proto"]].spi != layer["spi"]:
            raise ValueError(f"SPI {packet[layer['proto']].spi:#x}, expected {layer['spi']:#x}")
        packet = association(layer).decrypt(packet)
        # Read anew: scapy leaves what was inside AH as bytes.
        packet = type(packet)(bytes(packet))
    return packet


def check(path):
    """Checks one capture; says what is wrong."""
    expected = json.loads(path.with_suffix(".json").read_text())
    found = 0
    for frame in rdpcap(str(path)):
        packet = frame[IP] if IP in frame else frame[IPv6] if IPv6 in frame else None
        if packet is None or packet.src != expected["src"]:
            continue
        found += 1
        packet = take_apart(packet, expected["layers"])
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
