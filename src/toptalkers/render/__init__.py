"""The question written out for other services of AWS: for Athena, and as a schedule that asks it every night."""
