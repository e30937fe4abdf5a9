from greeting import greet

print(greet("session"))
