-- Which images are in the cohort, in the order of `images`.
SELECT reason IS NULL AS kept
FROM placed
