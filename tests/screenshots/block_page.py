"""Renders Block Kit messages as a page that looks much like Slack's: for the pictures in the docs."""

import base64
import html
import re

STYLE = """
* { box-sizing: border-box; }
body { margin: 0; padding: 14px 20px 16px; width: 720px; background: #fff; color: #1d1c1d;
  font: 15px/22px Lato, "Liberation Sans", "DejaVu Sans", sans-serif; }
.message { display: grid; grid-template-columns: 44px 1fr; margin-bottom: 14px; }
.message:last-child { margin-bottom: 0; }
.avatar { width: 36px; height: 36px; border-radius: 6px; background: #7a1f3d; color: #fff;
  font: bold 20px/36px sans-serif; text-align: center; }
.who { font-weight: 900; }
.badge { background: #e8e8e8; color: #616061; font-size: 10px; font-weight: 700; padding: 1px 4px;
  border-radius: 2px; vertical-align: 1px; }
.time, .edited, .replied { color: #616061; font-size: 12px; }
.replied { font-size: 13px; margin-bottom: 2px; }
.section { white-space: pre-wrap; }
.quote { border-left: 4px solid #ddd; padding-left: 12px; margin: 4px 0; white-space: pre-wrap; }
ul { margin: 2px 0 6px; padding-left: 26px; } li { white-space: pre-wrap; }
a { color: #1264a3; text-decoration: none; }
code { font: 12px/17px "Liberation Mono", "DejaVu Sans Mono", monospace; color: #e01e5a; background: #f6f6f6;
  border: 1px solid #ddd; border-radius: 3px; padding: 1px 3px; }
.context { color: #616061; font-size: 13px; line-height: 18px; margin-top: 4px; }
.context span + span { margin-left: 10px; }
.header { font-size: 18px; line-height: 26px; font-weight: 900; margin-bottom: 4px; }
.image { margin-top: 8px; } .image img { max-width: 560px; border-radius: 8px; border: 1px solid #ddd; }
.block + .block { margin-top: 6px; }
"""


def page_of(messages, images=None):
    """Return a page of messages: dicts with `message`, `time`, and optional `edited` and `thread_of`."""
    parts = "".join(_message(each, images or {}) for each in messages)
    return f"<!doctype html><meta charset=utf-8><style>{STYLE}</style>{parts}"


def _message(each, images):
    edited = ' <span class="edited">(edited)</span>' if each.get("edited") else ""
    replied = ""
    if thread_of := each.get("thread_of"):
        replied = f'<div class="replied">replied to a thread: <a>{html.escape(thread_of)}</a></div>'
    blocks = "".join(f'<div class="block">{_block(block, images)}</div>' for block in each["message"].blocks)
    return (
        f'<div class="message"><div class="avatar">T</div><div><span class="who">Tocsin</span> '
        f'<span class="badge">APP</span> <span class="time">{each["time"]}</span>'
        f"{replied}{blocks}{edited}</div></div>"
    )


def _block(block, images):
    if block["type"] == "header":
        return f"<div class=header>{html.escape(block['text']['text'])}</div>"
    if block["type"] == "image":
        data = base64.b64encode(images[block["slack_file"]["id"]]).decode()
        alt = html.escape(block["alt_text"])
        return f'<div class="image"><img src="data:image/png;base64,{data}" alt="{alt}"></div>'
    if block["type"] == "context":
        told = "".join(f"<span>{_mrkdwn(each['text'])}</span>" for each in block["elements"])
        return f'<div class="context">{told}</div>'
    assert block["type"] == "rich_text"
    return "".join(_part(part) for part in block["elements"])


def _part(part):
    if part["type"] == "rich_text_list":
        return f"<ul>{''.join(f'<li>{_elements(item)}</li>' for item in part['elements'])}</ul>"
    kind = {"rich_text_section": "section", "rich_text_quote": "quote"}[part["type"]]
    return f'<div class="{kind}">{_elements(part)}</div>'


def _elements(part):
    return "".join(_element(element) for element in part["elements"])


def _element(element):
    text = html.escape(element["text"])
    if element["type"] == "link":
        text = f"<a>{text}</a>"
    return f"<b>{text}</b>" if element.get("style", {}).get("bold") else text


def _mrkdwn(text):
    """Render the little markup that small print has: links, which are escaped as Slack does, and code."""
    text = re.sub(r"<([^|>]+)\|([^>]+)>", r"<a>\2</a>", text)
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
