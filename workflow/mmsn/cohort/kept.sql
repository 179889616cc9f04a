-- Which images are in the cohort, in the order of `images`.
SELECT kept FROM images
