"""Settings from the environment: every wrong one is named, with what it should be."""

import pytest

from engine.errors import Invalid
from engine.messages import catalogue, told_faults
from engine.settings import WORDS, Settings


def test_nothing_set_means_sqlite_in_the_folder_var():
    settings = Settings.from_environment({})
    assert settings.embedded and settings.home.name == "var" and settings.files == settings.home / "files"
    assert {row["source"] for row in settings.rows()} == {"default"}


def test_every_wrong_setting_is_listed_at_once():
    environment = {
        "TANGRAM_PORT": "eighty",
        "TANGRAM_POOL_SIZE": "0",
        "TANGRAM_LOG_LEVEL": "loud",
        "TANGRAM_DATABASE_URL": "mysql://x/y",
        "TANGRAM_TRUSTED_PROXIES": "10.0.0.0/8, nonsense",
        "TANGRAM_POOLER": "maybe",
        "TANGRAM_PROT": "8000",
        "OTHER": "1",
    }
    with pytest.raises(Invalid, match="wrong_settings") as caught:
        Settings.from_environment(environment)
    assert {fault.pointer for fault in caught.value.faults} == {name for name in environment if name.startswith("TANGRAM_")}
    for locale in ("zh", "en"):
        for pointer, sentence in told_faults(caught.value, locale):
            assert pointer in sentence and "{" not in sentence


def test_postgresql_needs_a_secret():
    with pytest.raises(Invalid) as caught:
        Settings.from_environment({"TANGRAM_DATABASE_URL": "postgresql://u:p@h/d"})
    assert caught.value.faults[0].code == "setting_secret_missing"
    settings = Settings.from_environment({"TANGRAM_DATABASE_URL": "postgresql://u:p@h/d", "TANGRAM_SECRET_KEY": "k" * 32})
    assert settings.database_url.startswith("postgresql+psycopg://") and not settings.embedded


def test_secrets_are_never_shown():
    settings = Settings.from_environment({"TANGRAM_DATABASE_URL": "postgresql://u:hidden-word@h/d", "TANGRAM_SECRET_KEY": "s" * 40})
    assert "hidden-word" not in str(settings.rows()) and "s" * 40 not in str(settings.rows()) + repr(settings)
    with pytest.raises(Invalid) as caught:
        Settings.from_environment({"TANGRAM_SECRET_KEY": "too-short-secret"})
    assert "too-short-secret" not in str(list(told_faults(caught.value)))


def test_every_setting_is_explained_in_both_languages_and_its_default_can_be_read():
    for word in WORDS:
        assert word.help["zh"] and word.help["en"]
        word.read(word.default)


def test_every_sentence_exists_in_both_languages_with_the_same_parameters():
    for code, sentences in catalogue().items():
        assert set(sentences) >= {"zh", "en"}, code
        assert all(sentences[locale].strip() for locale in ("zh", "en")), code
