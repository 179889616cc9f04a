-- How many rows of `placed` do not stand where their image does.
SELECT count(*) AS rows
FROM placed
WHERE rowid <> image
