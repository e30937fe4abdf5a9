test -f build-info.json && echo ok
