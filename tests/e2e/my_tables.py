"""Tables of MySQL and MariaDB as lines of text: columns, and rows as the text protocol writes them (FLOAT as f + 0e0: its own
text is rounded).

    table SCHEMA NAME ENGINE
    col NAME FLAGS CHARSET TYPE      FLAGS: k key, n NOT NULL, g generated, i invisible, - none; CHARSET: or -
    row CELL...                      ~ is NULL; bytes that are not printable ASCII, blanks, ~ and % are %XX; an empty text is %
"""
from my_servers import run


def cell(value):
    if value is None:
        return "~"
    data = value.encode() if isinstance(value, str) else bytes(value)
    return "".join(chr(b) if 33 <= b < 127 and b not in b"~%" else f"%{b:02X}" for b in data) or "%"


def describe(c, schema):
    """All tables of a schema with their rows."""
    lines = []
    tables = run(c, "select table_name, engine from information_schema.tables where table_schema = %s and table_type in "
                    "('BASE TABLE', 'SYSTEM VERSIONED') order by 1", (schema,))
    for name, engine in tables:
        lines.append(f"table {schema} {cell(name)} {engine}")
        table = "`" + name.replace("`", "``") + "`"
        keys = [k for (k,) in run(c, "select column_name from information_schema.key_column_usage where constraint_name = 'PRIMARY' "
                                     "and table_schema = %s and table_name = %s order by ordinal_position", (schema, name))]
        columns = run(c, "select column_name, column_type, character_set_name, is_nullable, extra, generation_expression from "
                         "information_schema.columns where table_schema = %s and table_name = %s order by ordinal_position",
                      (schema, name))
        select = []
        for column, kind, charset, nullable, extra, expression in columns:
            flags = ("k" if column in keys else "") + ("n" if nullable == "NO" else "")
            flags += ("g" if expression else "") + ("i" if "INVISIBLE" in extra.upper() else "")
            lines.append(f"col {cell(column)} {flags or '-'} {charset or '-'} {cell(kind)}")
            quoted = "`" + column.replace("`", "``") + "`"
            # PyMySQL knows no vectors and takes them for text
            select.append(f"{quoted} + 0e0" if kind.startswith("float") else f"unhex(hex({quoted}))" if kind.startswith("vector") else quoted)
        order = ", ".join("`" + k.replace("`", "``") + "`" for k in keys) or "1"
        for row in run(c, f"select {', '.join(select)} from `{schema}`.{table} order by {order}"):
            lines.append("row " + " ".join(map(cell, row)))
    return lines
