"""A Flask application as its own documents would write it: nothing in it knows of mod_python."""

import re
from collections import Counter

import flask

app = flask.Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 100_000


@app.route("/", methods=["GET", "POST"])
def count():
    """The form, and below it the most frequent words of what it sent."""
    text = flask.request.form.get("text", "")
    return flask.render_template("words.html", text=text, words=most_frequent(text))


@app.route("/api", methods=["POST"])
def api():
    """The same for programs: text in, JSON out."""
    return flask.jsonify(dict(most_frequent(flask.request.get_data(as_text=True))))


def most_frequent(text):
    return Counter(re.findall(r"\w+", text.lower())).most_common(10)
