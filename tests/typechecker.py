"""beartype for the tests: a whole number is a float."""

from beartype import BeartypeConf, beartype

CONF = BeartypeConf(is_pep484_tower=True, claw_is_pep526=False, violation_type=TypeError)
check = beartype(conf=CONF)
