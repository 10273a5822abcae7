def svg(rows, subject):
    return "<svg/>"
