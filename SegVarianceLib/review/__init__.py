"""What a reader opens, votes on, cleans and scores, case by case: any folder of predictions, on numpy, scipy and SimpleITK."""
