"""Go's templates, as far as chat templates use them."""

import pytest

from tests.ollama_double import prompts
from tests.ollama_double.go_parser import TemplateFault
from tests.ollama_double.go_template import Template

TURNS = [
    {"role": "system", "content": "S"},
    {"role": "user", "content": "U"},
    {"role": "assistant", "content": "A"},
    {"role": "user", "content": "B"},
]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ .Prompt }}", "UAB"),
        ("{{ if .System }}<{{ .System }}>{{ end }}{{ .Prompt }}: {{ .Response }}|", "<S>U: A|B: "),
        (
            "{{- range .Messages }}{{ .Role }}={{ .Content }};{{ end -}}  \n",
            "system=S;user=U;assistant=A;user=B;",
        ),
        (
            '{{ range $i, $m := .Messages }}{{ if eq $m.Role "user" }}{{ $i }}{{ else if gt $i 1 }}x{{ end }}{{ end }}',
            "1x3",
        ),
        ("{{ with .System }}{{ . }}{{ else }}none{{ end }}{{ len .Messages }}", "S4"),
        ("{{ $n := 0 }}{{ range .Messages }}{{ $n = .Content }}{{ end }}{{ $n }}", "B"),
        ("{{ (index .Messages 1).Content | printf `%s!` }}", "U!"),
        (
            "{{ range .Messages }}{{ if eq .Role `user` }}{{ break }}{{ end }}{{ .Content }}{{ end }}",
            "S",
        ),
        (
            "{{/* nothing */}}{{ json .Messages | len | lt 5 }}{{ and .System .Tools }}{{ or .Tools `no` }}",
            "trueno",
        ),
    ],
)
def test_go_templates_render(source: str, text: str) -> None:
    assert prompts.render(source, TURNS, [], None) == text


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("{{ .X", "template: :1: unclosed action"),
        ("a\n{{ if .X }}", "template: :2: unexpected EOF"),
        ("{{ end }}", "template: :1: unexpected {{end}}"),
        ("{{ foo .X }}", 'template: :1: function "foo" not defined'),
        ('{{ "a }}', "template: :1: unterminated quoted string"),
        ("{% for %}{{ }}", "template: :1: missing value for command"),
    ],
)
def test_a_go_template_that_does_not_parse_is_refused_in_gos_words(source: str, fault: str) -> None:
    with pytest.raises(TemplateFault) as refusal:
        Template(source)
    assert str(refusal.value) == fault
