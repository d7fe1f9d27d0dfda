"""What both wings assume about users and lifts, each with its source; nothing here is measured by a run."""

ACTIVITY_SHAPE = 0.7  # gamma shape of session rates: a few users come often (Ehrenberg 1959)
MEAN_SESSIONS = 6.0  # sessions of a user over a simulated test
PRIOR_SD = 0.2  # lifts of real tests are mostly within 20% of zero; the prior of log(1 + lift) is Normal(0, PRIOR_SD^2)
