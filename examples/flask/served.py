"""What httpd.conf names: the Flask application, or where Flask is missing a page that says so."""

try:
    from words import app
except ModuleNotFoundError as error:
    if error.name != "flask":
        raise

    def app(environ, start_response):
        body = (
            b'<!DOCTYPE html><html lang="en"><title>Flask</title><h1>Flask is not installed</h1>'
            b"<p>This example runs when the Python that mod_python was built for finds Flask: "
            b"<code>pip install Flask</code>, or Debian's <code>python3-flask</code>.</p></html>"
        )
        start_response(
            "503 Service Unavailable",
            [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body)))],
        )
        return [body]
