CREATE TABLE c (a int, b text, d numeric);
COPY c FROM STDIN;
1	one	1.5
2	\N	\N
3	tab\there	3
\.
SELECT * FROM c ORDER BY a;
COPY c TO STDOUT;
COPY c (a, b) TO STDOUT WITH (FORMAT csv, HEADER);
COPY (SELECT a FROM c ORDER BY a DESC) TO STDOUT;
COPY c FROM STDIN WITH (FORMAT csv, HEADER, NULL 'nil');
a,b,d
4,"with, comma",4.5
5,nil,"5"
6,"quo""te",6
\.
SELECT * FROM c ORDER BY a;
COPY c FROM STDIN;
x	bad	1
\.
COPY c FROM STDIN;
7	too few
\.
COPY c (a) FROM STDIN WITH (DELIMITER ',');
8
\.
SELECT count(*) FROM c;
COPY missing FROM STDIN;
COPY c (a, nothing) TO STDOUT;
