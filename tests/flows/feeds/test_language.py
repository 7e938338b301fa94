"""Which language an article is in, and when nothing is said about it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.feeds.language import detect_language


@pytest.mark.parametrize(
    ("language", "title", "summary"),
    [
        ("en", "Ministry widens its list of controlled chips", "Twelve firms need a licence from March."),
        ("de", "Ministerium erweitert die Liste der Chips", "Zwölf Firmen brauchen ab März eine Lizenz."),
        ("fr", "Le ministère élargit la liste des puces", "Douze entreprises auront besoin de licences."),
        ("es", "El ministerio amplía la lista de chips", "Doce empresas necesitarán una licencia en marzo."),
        ("zh", "商务部扩大受管制芯片清单", "十二家公司从三月起需要许可证。"),
        ("ja", "政府は規制対象の半導体リストを拡大した", "三月から許可が必要になる。"),
        (
            "ru",
            "Правительство расширило перечень микросхем, вывоз которых запрещён",
            "Теперь двенадцати компаниям понадобятся новые разрешения, сообщили журналистам.",
        ),
        ("ar", "الوزارة توسع قائمة الرقائق الخاضعة للرقابة", "تحتاج الشركات إلى ترخيص ابتداء من مارس."),
    ],
)
def test_the_language_of_a_headline_with_its_summary_is_named(language, title, summary):
    assert detect_language(title, summary) == language


@pytest.mark.parametrize(
    "text", ["", "TikTok", "2026", "🔔" * 40, "!?" * 30, "AI: 42 %", "qzx jkw vbn pfg rtd lmn"]
)
def test_nothing_is_said_of_text_that_tells_too_little(text):
    assert detect_language(text, "") is None


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_text_gives_a_two_letter_code_or_none(title, summary):
    language = detect_language(title, summary)
    assert language is None or (len(language) == 2 and language.isalpha() and language.islower())


def test_a_long_text_is_judged_by_its_beginning():
    english = "The ministry widened its list of controlled chips on Thursday. " * 10
    assert detect_language("Chips", english + "Zwölf Firmen brauchen ab März eine Lizenz. " * 500) == "en"
