"""The workspace digest of a directory (schemas/workspace-digest.md): python3 digest.py DIRECTORY"""
import hashlib, os, stat, sys

def sha256(data):
    return hashlib.sha256(data).hexdigest()

def digest(directory, left_out=()):
    records = b""
    for name in sorted(set(os.listdir(directory)) - set(left_out)):
        path = os.path.join(directory, name)
        mode = os.lstat(path).st_mode
        if stat.S_ISDIR(mode):
            record = "d %04o %s " % (stat.S_IMODE(mode), digest(path))
        elif stat.S_ISREG(mode):
            record = "f %04o %s " % (stat.S_IMODE(mode), sha256(open(path, "rb").read()))
        elif stat.S_ISLNK(mode):
            record = "l - %s " % sha256(os.readlink(path))
        else:
            record = "s - - "
        records += record.encode() + name + b"\0"
    return sha256(records)

print("sha256:" + digest(os.fsencode(sys.argv[1]), [b".agb-sync"]))
