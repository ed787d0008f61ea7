# What an awk user would write for the reducer's work: gawk -F'\t' -f sum.awk.
$1 != key { if (NR > 1) print substr(key, 14) "\t" sum; key = $1; sum = 0 }
{ sum += $2 }
END { if (NR) print substr(key, 14) "\t" sum }
