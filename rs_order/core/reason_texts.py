"""The texts of reasons, in English and French. They name numbers, never other users (faces.md 10)."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from rs_order.domain.reasons import ReasonCode, WaitingReason

_CODE = ReasonCode


class Language(StrEnum):
    """A language that users can choose."""

    ENGLISH = "en"
    FRENCH = "fr"


_ENGLISH: Final[Mapping[ReasonCode, str]] = {
    _CODE.PAUSED_BY_YOU: "You paused the order. Resume it to go on.",
    _CODE.PAUSED_BY_ADMINISTRATOR: "An administrator paused the order. You or they can resume it.",
    _CODE.PAUSED_BY_SERVICE: "A service paused the order. You can resume it.",
    _CODE.MAINTENANCE: "The project is in maintenance or not served at present.",
    _CODE.CATALOG_UNREACHABLE: "The catalog gives no answer. Products read so far: {products}.",
    _CODE.READING_CATALOG: "The files are being read from the catalog. Products read so far: {products}.",
    _CODE.RETRY_RUNNING: "The files in error are being prepared for another try.",
    _CODE.PROCESS_RUNNING: "Files that are being made by a process: {files}.",
    _CODE.STORAGE_RESTORING: "Files that storage is bringing back: {files}. Storage also works for others.",
    _CODE.STORAGE_LATE: (
        "Storage takes longer than was to be expected. Files that it is bringing back: {files}."
    ),
    _CODE.PROCESS_SILENT: "The processing service gives no answer. Files that wait for it: {files}.",
    _CODE.STORAGE_SILENT: (
        "Storage was asked {asks} times and gave no answer yet. Files that wait for it: {files}."
    ),
    _CODE.REQUEST_QUEUED: "Files that are about to be requested from storage: {files}.",
    _CODE.YOUR_LIMIT: (
        "Files that wait until one of your sub-orders at work is complete: {files}. "
        "Only some may run at the same time."
    ),
    _CODE.SERVICE_LIMIT: "Files that wait because the service is working at its capacity: {files}.",
    _CODE.OTHERS_FIRST: (
        "Files that wait because others, who used storage less lately, are served first: {files}."
    ),
    _CODE.YOUR_DOWNLOAD_NEEDED: (
        "Files that wait until you download what is ready: {files}. "
        "Sub-orders that you haven't downloaded use your share."
    ),
    _CODE.HELD: "An operator holds new requests to storage. Files that wait: {files}.",
    _CODE.DOWNLOAD_QUOTA: "Your download quota is used up. Download the files when it allows it.",
    _CODE.READY_FOR_YOU: "Files that are ready for your download: {files}.",
    _CODE.DONE: "Everything was delivered.",
    _CODE.DONE_WITH_FAILURES: "Files that failed: {files}. Retry the order to ask for them again.",
    _CODE.NOTHING_TO_ORDER: "The catalog has no file that matches the order.",
    _CODE.STORAGE_REFUSED: "Storage can't deliver the files.",
    _CODE.STORAGE_GAVE_NO_ANSWER: "Storage gave no answer in time.",
    _CODE.CATALOG_FAILED: "The files could not be read from the catalog.",
    _CODE.PROCESS_FAILED: "The process failed.",
    _CODE.EXPIRED: "The order has expired, and its files are deleted.",
    _CODE.DELETED: "The order is deleted.",
}

_FRENCH: Final[Mapping[ReasonCode, str]] = {
    _CODE.PAUSED_BY_YOU: "Vous avez suspendu la commande. Reprenez-la pour continuer.",
    _CODE.PAUSED_BY_ADMINISTRATOR: (
        "Un administrateur a suspendu la commande. Vous ou lui pouvez la reprendre."
    ),
    _CODE.PAUSED_BY_SERVICE: "Un service a suspendu la commande. Vous pouvez la reprendre.",
    _CODE.MAINTENANCE: "Le projet est en maintenance ou n'est pas servi actuellement.",
    _CODE.CATALOG_UNREACHABLE: "Le catalogue ne répond pas. Produits lus : {products}.",
    _CODE.READING_CATALOG: "Les fichiers sont lus dans le catalogue. Produits lus : {products}.",
    _CODE.RETRY_RUNNING: "Les fichiers en erreur sont préparés pour un nouvel essai.",
    _CODE.PROCESS_RUNNING: "Fichiers en cours de production par un traitement : {files}.",
    _CODE.STORAGE_RESTORING: (
        "Fichiers en cours de restauration par le stockage : {files}. "
        "Le stockage travaille aussi pour d'autres."
    ),
    _CODE.STORAGE_LATE: (
        "Le stockage met plus de temps que prévu. Fichiers en cours de restauration : {files}."
    ),
    _CODE.PROCESS_SILENT: "Le service de traitement ne répond pas. Fichiers en attente : {files}.",
    _CODE.STORAGE_SILENT: (
        "Le stockage a été sollicité {asks} fois et n'a pas encore répondu. Fichiers en attente : {files}."
    ),
    _CODE.REQUEST_QUEUED: "Fichiers sur le point d'être demandés au stockage : {files}.",
    _CODE.YOUR_LIMIT: (
        "Fichiers qui attendent la fin d'une de vos sous-commandes en cours : {files}. "
        "Leur nombre simultané est limité."
    ),
    _CODE.SERVICE_LIMIT: (
        "Fichiers en attente parce que le service travaille à pleine capacité : {files}."
    ),
    _CODE.OTHERS_FIRST: (
        "Fichiers en attente parce que d'autres, qui ont moins sollicité le stockage récemment, "
        "sont servis d'abord : {files}."
    ),
    _CODE.YOUR_DOWNLOAD_NEEDED: (
        "Fichiers qui attendent que vous téléchargiez ce qui est prêt : {files}. "
        "Les sous-commandes non téléchargées occupent votre part."
    ),
    _CODE.HELD: "Un opérateur retient les nouvelles demandes au stockage. Fichiers en attente : {files}.",
    _CODE.DOWNLOAD_QUOTA: (
        "Votre quota de téléchargement est épuisé. Téléchargez les fichiers dès qu'il le permet."
    ),
    _CODE.READY_FOR_YOU: "Fichiers prêts à être téléchargés : {files}.",
    _CODE.DONE: "Tout a été livré.",
    _CODE.DONE_WITH_FAILURES: (
        "Fichiers en échec : {files}. Relancez la commande pour les demander à nouveau."
    ),
    _CODE.NOTHING_TO_ORDER: "Le catalogue n'a aucun fichier qui corresponde à la commande.",
    _CODE.STORAGE_REFUSED: "Le stockage ne peut pas livrer les fichiers.",
    _CODE.STORAGE_GAVE_NO_ANSWER: "Le stockage n'a pas répondu à temps.",
    _CODE.CATALOG_FAILED: "Les fichiers n'ont pas pu être lus dans le catalogue.",
    _CODE.PROCESS_FAILED: "Le traitement a échoué.",
    _CODE.EXPIRED: "La commande a expiré et ses fichiers sont supprimés.",
    _CODE.DELETED: "La commande est supprimée.",
}

TEXTS: Final[Mapping[Language, Mapping[ReasonCode, str]]] = {
    Language.ENGLISH: _ENGLISH,
    Language.FRENCH: _FRENCH,
}


_JOINED: Final[Mapping[Language, str]] = {
    Language.ENGLISH: " Another order had asked for some of them: they come for both.",
    Language.FRENCH: " Une autre commande en avait demandé une partie : elle arrive pour les deux.",
}


def text_of(reason: WaitingReason, language: Language) -> str:
    """Return the text of a reason, with its numbers."""
    template = TEXTS[language][reason.code]
    if reason.joined and reason.code is _CODE.STORAGE_RESTORING:
        template += _JOINED[language]
    return template.format(files=reason.files, asks=reason.asks, products=reason.products)


def language_of(accepted: str) -> Language:
    """Return the language that a header ``Accept-Language`` prefers; English unless French comes first."""
    weights = dict.fromkeys(Language, 0.0)
    for entry in accepted.split(","):
        tag, _, parameters = entry.strip().partition(";")
        primary = tag.strip().lower().partition("-")[0]
        if primary in weights:
            language = Language(primary)
            weights[language] = max(weights[language], _weight(parameters))
    return max(Language, key=lambda language: weights[language])


def _weight(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if not name:
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
