"""The application of ``posemamba app``: a web page on this computer that lifts videos without a terminal."""
