"""Measures that are asked for by a name that stands in no report, and the lines of one that they are computed from.

Who asks for a company's working capital is answered by the page that holds its current assets and its current
liabilities. The words of that page are searched beside the question's own and count less (`retrieve.RELATED`). These
are the textbook definitions of financial analysis; a question without such a measure is searched as it stands.
"""

import re

_BALANCE = "consolidated balance sheets"
_INCOME = "consolidated statements of income operations earnings"
_CASH = "consolidated statements of cash flows"

_MEASURES = {
    r"working capital|quick ratio|current ratio|acid[- ]test ratio|liquidity ratio": (
        f"{_BALANCE} total current assets total current liabilities cash and cash equivalents receivables inventories"
    ),
    r"gross (margin|profit)|cost of goods sold|cogs": f"{_INCOME} net sales revenue cost of sales gross profit",
    r"(operating|ebit|net|profit) margin|operating (income|profit)|net (income|earnings|loss)|profitability": (
        f"{_INCOME} revenue operating income net income"
    ),
    r"ebitdar?|ebit": f"{_INCOME} operating income depreciation and amortization interest expense",
    r"eps|earnings per share": f"{_INCOME} net income per share basic diluted",
    r"effective tax( rate)?": "income before income taxes provision for income taxes effective tax rate",
    r"interest coverage|times interest earned": f"{_INCOME} operating income interest expense",
    r"inventory turnover|days (of )?inventory|dio": f"{_BALANCE} inventories cost of sales",
    r"days (of )?payables?|dpo": f"{_BALANCE} accounts payable cost of sales",
    r"days (of )?sales outstanding|dso|receivables turnover": f"{_BALANCE} accounts receivable net sales",
    r"cash conversion cycle": f"{_BALANCE} inventories accounts receivable accounts payable cost of sales",
    r"asset turnover|return on assets|roa|total assets|balance sheet": f"{_BALANCE} total assets",
    r"fixed assets?|pp&e|pp&?ne": f"{_BALANCE} property plant and equipment net",
    r"return on equity|roe|book value": f"{_BALANCE} total shareholders equity net income",
    r"debt[- ]to[- ]equity|leverage ratio|net debt": (
        f"{_BALANCE} long-term debt short-term debt total liabilities shareholders equity"
    ),
    r"capital expenditures?|capex|capital[- ]intensive|free cash flow|fcf": (
        f"{_CASH} purchases of property plant and equipment capital expenditures net cash from operating activities"
    ),
    r"cash flows?": f"{_CASH} operating activities investing activities financing activities",
    r"dividends?( payout| yield)?|payout ratio|retention ratio": f"{_CASH} dividends paid net income per share",
    r"(share|stock) (repurchases?|buybacks?)": f"{_CASH} repurchases of common stock",
    r"sg&a|selling, general and administrative": f"{_INCOME} selling general and administrative expenses",
}
_PATTERNS = [
    (re.compile(rf"(?<!\w)(?:{measure})(?!\w)", re.I), words)
    for measure, words in _MEASURES.items()
]


def related(*questions: str) -> str:
    """The words of the lines that the questions' measures are computed from; empty without such a measure."""
    found = (
        words
        for pattern, words in _PATTERNS
        if any(pattern.search(question) for question in questions)
    )
    return " ".join(dict.fromkeys(" ".join(found).split()))
