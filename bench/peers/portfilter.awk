# The published recipe's filter of step 2, in its own way: IPv4 alone.
BEGIN { FS = "[:|\t]" }
$3 <= 1024 { print }
