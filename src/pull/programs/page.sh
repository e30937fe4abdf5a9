# Answers some bytes of a file as base64.
# Values: FILE; AT: from which byte on; MOST: how many at most.

tail -c +$((AT + 1)) "$FILE" | head -c "$MOST" | base64
