"""The CRUD program of clients_test.go, with psycopg2. Takes a URL."""

import datetime
import decimal
import sys

import psycopg2
import psycopg2.errors
import psycopg2.extras

connection = psycopg2.connect(sys.argv[1])
cursor = connection.cursor()
cursor.execute("DROP TABLE IF EXISTS items")
cursor.execute(
    "CREATE TABLE items (id SERIAL PRIMARY KEY, name TEXT NOT NULL UNIQUE, price NUMERIC(10,2),"
    " sold BOOLEAN DEFAULT false, made TIMESTAMPTZ DEFAULT now())"
)
connection.commit()

cursor.execute("INSERT INTO items (name, price) VALUES (%s, %s) RETURNING id", ("lamp", decimal.Decimal("12.50")))
assert cursor.fetchone() == (1,)
cursor.execute("INSERT INTO items (name, price, sold) VALUES (%s, %s, %s) RETURNING id, made", ("chair", 99.99, True))
number, made = cursor.fetchone()
assert number == 2 and isinstance(made, datetime.datetime), (number, made)
connection.commit()

cursor.execute("SELECT name, price, sold FROM items WHERE id = %s", (2,))
assert cursor.fetchone() == ("chair", decimal.Decimal("99.99"), True)
cursor.execute("UPDATE items SET price = price * 2 WHERE name = %s", ("lamp",))
assert cursor.rowcount == 1
connection.commit()

cursor.execute("DELETE FROM items")
connection.rollback()

try:
    cursor.execute("INSERT INTO items (name) VALUES (%s)", ("lamp",))
    raise AssertionError("a duplicate name was taken")
except psycopg2.errors.UniqueViolation as error:
    assert error.diag.constraint_name == "items_name_key", error.diag.constraint_name
connection.rollback()

cursor.execute("SELECT name, price FROM items ORDER BY id")
assert cursor.fetchall() == [("lamp", decimal.Decimal("25.00")), ("chair", decimal.Decimal("99.99"))]
cursor.execute("DELETE FROM items WHERE sold")
assert cursor.rowcount == 1
psycopg2.extras.execute_values(cursor, "INSERT INTO items (name) VALUES %s", [("a",), ("b",), ("c",)])
connection.commit()

named = connection.cursor("server_side")
named.execute("SELECT name FROM items ORDER BY name")
assert [row[0] for row in named] == ["a", "b", "c", "lamp"]
connection.commit()
connection.close()
