"""A line comes in, its letters go out in reverse; `bye` ends the conversation."""

from mod_python import apache


def connectionhandler(conn):
    conn.write("Hello %s, say something (bye ends).\r\n" % conn.client_ip)
    while True:
        try:
            line = conn.readline()
        except OSError:  # the other side hung up
            return apache.OK
        words = line.decode("utf-8", "replace").strip()
        if words == "bye":
            conn.write("bye\r\n")
            return apache.OK
        conn.write(words[::-1] + "\r\n")
