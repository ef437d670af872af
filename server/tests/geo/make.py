"""Writes the databases beside it: `pip install mmdb_writer`, then `python3 make.py`."""

import ipaddress

from mmdb_writer import MMDBWriter
from netaddr import IPSet

ASN = {
    "192.0.2.0/24": (64496, "Example Net"),
    "198.51.100.0/25": (4200000000, "Thirty-two Bits"),
    "2001:db8::/32": (64497, "Example Six"),
    "127.0.0.0/8": (64511, "Loopback"),
}
COUNTRY = {"192.0.2.0/24": "DE", "127.0.0.0/8": "FR", "203.0.113.0/24": "JP", "2001:db8::/32": "JP"}


def write(name, kind, records):
    writer = MMDBWriter(6, kind, ["en"], "test data of documentation networks", ipv4_compatible=True, int_type="uint32")
    for network, record in records.items():
        assert ipaddress.ip_network(network)
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(name)


def asn(number, name):
    return {"autonomous_system_number": number, "autonomous_system_organization": name}


def country(code):
    return {"country": {"iso_code": code, "names": {"en": f"Land of {code}"}}}


write("asn.mmdb", "Test-ASN", {network: asn(*of) for network, of in ASN.items()})
write("country.mmdb", "Test-Country", {network: country(code) for network, code in COUNTRY.items()})
