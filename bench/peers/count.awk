# What an awk user would write for the mapper's work: gawk -f count.awk.
$14 == "OK" && $13 == "ACCEPT" && $7 <= 1024 {
  src = index($4, ":") ? "[" $4 "]" : $4
  dst = index($5, ":") ? "[" $5 "]" : $5
  count[src ":" dst ":" $7]++
}
END { for (talker in count) print "LongValueSum:" talker "\t" count[talker] }
