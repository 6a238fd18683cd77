-- The schema of the first tutorial: create, fill, join, aggregate, violate.
CREATE TABLE users (id SERIAL PRIMARY KEY, name VARCHAR(100) NOT NULL, email VARCHAR(100) UNIQUE NOT NULL, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE orders (id SERIAL PRIMARY KEY, user_id INTEGER REFERENCES users(id), amount DECIMAL(10,2), status VARCHAR(20) DEFAULT 'pending');
INSERT INTO users (name, email) VALUES ('Ada', 'ada@example.org'), ('Bo', 'bo@example.org'), ('Cy', 'cy@example.org');
INSERT INTO orders (user_id, amount) VALUES (1, 10.5), (1, 20), (2, 7.25);
INSERT INTO orders (user_id, amount, status) VALUES (2, 100, 'paid') RETURNING id, user_id, amount, status;
SELECT id, name, email, created_at IS NOT NULL AS has_date FROM users ORDER BY id;
SELECT * FROM orders ORDER BY id;
SELECT u.name, o.amount, o.status FROM users u JOIN orders o ON o.user_id = u.id ORDER BY o.id;
SELECT u.name, count(o.id), sum(o.amount), avg(o.amount), min(o.amount), max(o.amount) FROM users u LEFT JOIN orders o ON o.user_id = u.id GROUP BY u.id ORDER BY u.id;
SELECT status, count(*) FROM orders GROUP BY status HAVING count(*) > 0 ORDER BY status;
-- each constraint, violated
INSERT INTO users (name, email) VALUES (NULL, 'x@example.org');
INSERT INTO users (name, email) VALUES ('Ada again', 'ada@example.org');
INSERT INTO users (id, name, email) VALUES (1, 'One', 'one@example.org');
INSERT INTO users (name, email) VALUES (repeat('x', 101), 'long@example.org');
INSERT INTO orders (user_id, amount) VALUES (99, 1);
INSERT INTO orders (user_id, amount) VALUES (1, 123456789.00);
UPDATE orders SET user_id = 42 WHERE id = 1;
DELETE FROM users WHERE id = 1;
DELETE FROM users WHERE id = 3;
SELECT count(*) FROM users;
UPDATE orders SET status = 'shipped', amount = amount * 1.1 WHERE status = 'pending' RETURNING *;
BEGIN;
DELETE FROM orders;
SELECT count(*) FROM orders;
ROLLBACK;
SELECT count(*) FROM orders;
\d users
\d orders
\dt
\di
\ds
DROP TABLE users;
DROP TABLE orders, users;
\dt
