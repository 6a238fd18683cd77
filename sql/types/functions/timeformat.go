package functions

func defineTimeFormats(d definitions) {}
