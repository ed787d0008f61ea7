"""The names of protocols, by the numbers that a record has.

Source: IANA, "Assigned Internet Protocol Numbers", the keywords in lower case; 58 as nfdump and
tcpdump call it.
"""

PROTOCOL_NAMES: dict[int, str] = {
    0: "hopopt",
    1: "icmp",
    2: "igmp",
    3: "ggp",
    4: "ipv4",
    5: "st",
    6: "tcp",
    7: "cbt",
    8: "egp",
    9: "igp",
    12: "pup",
    17: "udp",
    27: "rdp",
    33: "dccp",
    36: "xtp",
    41: "ipv6",
    43: "ipv6-route",
    44: "ipv6-frag",
    45: "idrp",
    46: "rsvp",
    47: "gre",
    50: "esp",
    51: "ah",
    58: "icmp6",
    59: "ipv6-nonxt",
    60: "ipv6-opts",
    88: "eigrp",
    89: "ospfigp",
    92: "mtp",
    94: "ipip",
    97: "etherip",
    98: "encap",
    103: "pim",
    108: "ipcomp",
    112: "vrrp",
    115: "l2tp",
    124: "isis",
    132: "sctp",
    133: "fc",
    135: "mobility",
    136: "udplite",
    137: "mpls-in-ip",
    138: "manet",
    139: "hip",
    140: "shim6",
    141: "wesp",
    142: "rohc",
    143: "ethernet",
}
"""The name of each protocol that has a usual one."""

PROTOCOL_NUMBERS: dict[str, int] = {
    **{name: number for number, name in PROTOCOL_NAMES.items()},
    "ipv6-icmp": 58,
    "icmpv6": 58,
    "ospf": 89,
}
"""The number of each name, and of other usual names."""
