"""From a JAX program to counts: kinds, rules, sites, control flow, and the two passes."""

from .count import Counter as Counter, count as count
from .findings import Found as Found
from .marks import spikes as spikes, synapses as synapses
from .recording import activity_of as activity_of
from .rules import opaque as opaque, rule as rule
