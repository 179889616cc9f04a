-- The places by image.
CREATE OR REPLACE TABLE placed AS
SELECT *
FROM placed
ORDER BY image;
