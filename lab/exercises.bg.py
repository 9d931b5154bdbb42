"""Упражненията: попълнете телата, после `python -m lab.check` казва кои са верни.

От упражнение 1 нататък думите са числа („номера“, ids): 0 е `<unk>`, за думите, които не са в
речника, а V е размерът на речника. Масивите са на NumPy; [B, T] значи B реда по T.

Никоя функция не променя това, което ѝ е дадено: който я вика, продължава да го ползва. Отговорът
никога не зависи от предишните извиквания. Може да внасяте модулите на самия Python, NumPy, SciPy и
Keras, чиито модели работят върху TensorFlow, както и самия TensorFlow; в упражнение 4 вместо тях
PyTorch, ако е инсталиран. Всяка функция се проверява отделно, в процес, който не може да чете и
пише други файлове, да пуска други програми и няма мрежа.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

UNKNOWN = "<unk>"

# -- 0. Поглед върху книгата -----------------------------------------------------------------------


def count_words(tokens: Sequence[str]) -> Counter[str]:
    """Брои колко пъти се среща всеки токен в текста."""
    raise NotImplementedError


def coverage(counts: Counter[str], size: int) -> float:
    """Делът от текста (не от речника), който покриват `size` най-честите думи.

    Той е число от 0 до 1. `size` може да е 0 или да е по-голямо от речника. Има поне една дума.
    """
    raise NotImplementedError


# -- 1. Думи и обратно -----------------------------------------------------------------------------


def tokenize(text: str) -> list[str]:
    """Разделя текста на думи и препинателни знаци, като всеки препинателен знак е отделен токен.

    Ако токен следва друг без празно място между тях, започнете го с `■`, за да може `detokenize` да
    събере текста отново: "Stop, she said." дава ["Stop", "■,", "she", "said", "■."]. Думите се
    състоят от букви и цифри от всяка писменост, така както са написани. Апостроф между две от тях,
    ' или ’, е част от думата, колкото пъти и да се среща: "don't" и "rock'n'roll" са по един токен.
    Всеки друг символ, който не е празно място, е знак и е отделен токен: също всяка от трите точки
    в "...", дефисът на "well-known", точката на "1.5", долната черта, апострофът в края на дума или
    до друг апостроф. Празният текст няма токени.
    """
    raise NotImplementedError


def detokenize(tokens: Sequence[str]) -> str:
    """Текстът: `detokenize(tokenize(text))` е `text`, само че всяко празно място е един интервал.

    В двата края няма интервал, дори токените да идват от средата на текст и първият да има `■`. Без
    токени се получава празен текст.
    """
    raise NotImplementedError


def make_vocabulary(tokens: Sequence[str], min_count: int) -> list[str]:
    """`<unk>`, после токените, които се срещат поне `min_count` пъти, първо най-честите.

    Еднакво честите токени са по азбучен ред, както ги подрежда `sorted`: главните букви са преди
    малките. Никой от токените не е `<unk>`, защото `tokenize` прави от него три.
    """
    raise NotImplementedError


def encode(tokens: Sequence[str], vocabulary: Sequence[str]) -> np.ndarray:
    """Номера, int32 [N]: местата в речника; 0 за токен, който не е в него."""
    raise NotImplementedError


# -- 2. Мярката за сравнение: броене ---------------------------------------------------------------


def count_ngrams(ids: Sequence[int], n: int) -> dict[tuple[int, ...], Counter[int]]:
    """Брои за всяка последователност от n - 1 думи колко пъти я следва всяка дума.

    `count_ngrams([5, 6, 5, 7], 2)` е `{(5,): Counter({6: 1, 7: 1}), (6,): Counter({5: 1})}`; при n
    = 1 единственият ключ е `()`. n е поне 1; текст с по-малко от n думи не дава ключове.
    """
    raise NotImplementedError


def ngram_distribution(
    tables: Sequence[dict[tuple[int, ...], Counter[int]]],
    context: Sequence[int],
    weights: Sequence[float],
    size: int,
) -> np.ndarray:
    """p на всяка дума след контекста, float64 [V]: смес от всички редове.

    weights[0] / V + weights[1] p1 + weights[2] p2 + weights[3] p3, където pn е относителната
    честота след последните n - 1 думи от контекста. Ако те не са срещани или контекстът е твърде
    къс, pn е p(n-1).

    Аргументи:
        tables: `count_ngrams` за n = 1, 2 и 3.
        context: номера на думите преди; може да са колкото и да е.
        weights: четири числа със сбор 1.
        size: V.
    """
    raise NotImplementedError


def perplexity(probabilities: Sequence[float]) -> float:
    """exp от средното на -log p, където p е вероятността, която моделът е дал на всяка вярна дума.

    Текстът може да е дълъг: произведението на вероятностите му може да е твърде малко за float.
    """
    raise NotImplementedError


def tune_weights(
    tables: Sequence[dict[tuple[int, ...], Counter[int]]], valid: Sequence[int], size: int
) -> tuple[float, float, float, float]:
    """Теглата на `ngram_distribution` с най-ниската перплексия върху валидационния текст.

    Първите две думи на текста служат само за контекст. Един начин е алгоритъмът „очакване –
    максимизация“: започнете с равни тегла; делът на ред n при една дума е weights[n] pn, разделено
    на сбора от тези произведения; новите тегла са средните дялове; повторете около 50 пъти. Числата
    pn на думите са едни и същи при всяко повторение: пресметнете ги веднъж. Перплексията може да е
    с 1 % над най-ниската, не повече.
    """
    raise NotImplementedError


# -- 3. Двойки, изместени с едно -------------------------------------------------------------------


def make_windows(ids: np.ndarray, batch: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Входове и цели, и двете int32 [W, B, T]: целта на една дума е думата след нея.

    N-те думи се режат на B реда по N // B думи, които се четат успоредно. Във всеки ред прозорец w
    + 1 започва там, където е свършил прозорец w, за да може състоянието да се пренася от един в
    друг. Последната дума на реда е само цел; думите, които не запълват прозорец, се изоставят.
    """
    raise NotImplementedError


# -- 4. LSTM ---------------------------------------------------------------------------------------


def build_model(size: int, embedding: int, units: int) -> Any:
    """`keras.Model`: входове [ids, h, c], изходи [logits, h, c]; или същото на PyTorch.

    ids са int [B, T], h и c са състоянието на LSTM преди първата дума, float [B, units]; logits са
    float [B, T, V], за думата след всяка дума; изходите h и c са състоянието след последната. B и T
    са какви да е числа. Мрежата има три части: `Embedding(V, embedding)`, защото номерът е само
    име; един `LSTM(units)` с обичайните за Keras активации; `Dense(V)` върху изхода му на всяка
    стъпка, без активация (без softmax). Номер 0, `<unk>`, се чете като всяка друга дума: без маска.
    Dropout преди и след LSTM е позволен и помага при книга; той действа само при обучение. Моделът
    може да е от ваш собствен клас; вика се като `model([ids, h, c])`.

    На PyTorch е `torch.nn.Module`, който се вика като `model(ids, h, c)` и връща logits, h и c.
    Размерите са същите, с редовете като първо измерение; ids са int64. Частите му са
    `nn.Embedding`, един `nn.LSTM` (batch_first=True, но неговите състояния са [1, B, units]) и
    `nn.Linear`.
    """
    raise NotImplementedError


def loss(logits: Any, targets: Any) -> Any:
    """Средното на -log softmax(logits)[target] по всички думи, в натове, тензор скалар.

    Обучението иска градиента ѝ. Тя е вярна и при големи логити (10 000). Тензорите са на PyTorch,
    ако този файл внася torch, иначе на TensorFlow.

    Аргументи:
        logits: тензор float [B, T, V].
        targets: тензор int [B, T]; int64 в PyTorch.
    """
    raise NotImplementedError


# -- 5. Алчен избор --------------------------------------------------------------------------------

# Стъпка на мрежата: от (дума, състояние) към (логити [V], състояние). Състоянието преди първата
# дума е None. Състоянието е цялата памет: стъпката знае само него и думата, а не думите преди това.
Step = Callable[[int, Any], tuple[np.ndarray, Any]]


def greedy(step: Step, first: int, words: int) -> list[int]:
    """Следващите `words` думи след `first`, всяка най-вероятната; `first` не влиза в списъка.

    Никоя дума не минава през мрежата два пъти. `words` може да е 0.
    """
    raise NotImplementedError


def find_cycle(words: Sequence[int]) -> tuple[int, int] | None:
    """(start, length) на кръга, с който завършва списъкът, или None.

    От `start` до края списъкът се повтаря на всеки `length` думи, поне две цели завъртания.
    `length` е възможно най-малкото, а при него и `start`. [1, 2, 3, 4, 3, 4, 3] дава (2, 2).
    """
    raise NotImplementedError


# -- 6. Температура --------------------------------------------------------------------------------


def sample(logits: np.ndarray, temperature: float, uniform: float) -> int:
    """Дума, изтеглена от softmax(logits / temperature); при температура 0 – най-вероятната.

    Минете през думите по ред и събирайте вероятностите им: думата е първата, при която сборът е над
    `uniform`. Логитите може да са големи (хиляди) или минус безкрайност, чиято дума никога не се
    тегли. От закръгляне последният сбор може да е малко под `uniform`; тогава думата е последната,
    чиято вероятност е над 0.

    Аргументи:
        logits: float [V], float32 или float64.
        temperature: поне 0; колкото и да е малка, не е 0.
        uniform: равномерно разпределено случайно число от [0, 1), изтеглено от този, който вика.
    """
    raise NotImplementedError


# -- 7. Пренесено състояние или всички думи отначало -----------------------------------------------


def generate_with_state(
    step: Step, prompt: Sequence[int], temperature: float, uniforms: Sequence[float]
) -> list[int]:
    """Думи след подсказващия текст, по една за всяко число от uniforms, със `sample`.

    Подсказващият текст (prompt) не влиза в списъка. Той има поне една дума. Никоя дума не минава
    през мрежата два пъти.
    """
    raise NotImplementedError


def generate_by_rerunning(
    run: Callable[[Sequence[int]], np.ndarray],
    prompt: Sequence[int],
    temperature: float,
    uniforms: Sequence[float],
) -> list[int]:
    """Същите думи, без да се пази състояние: за всяка нова дума всички думи се четат отново.

    Аргументи:
        run: дава логитите [T, V] след всяка от T думи, прочетени отначало.
    """
    raise NotImplementedError


# -- 8. Какво е добър текст? -----------------------------------------------------------------------


def distinct(texts: Sequence[Sequence[int]], n: int) -> float:
    """Броят на различните n-грами, разделен на всички n-грами на всички текстове.

    Никоя n-грама не минава от един текст в друг. Тук и по-долу: 0, ако няма n-грами.
    """
    raise NotImplementedError


def repetition(text: Sequence[int], n: int) -> float:
    """Делът на n-грамите в текста, които вече са били в него."""
    raise NotImplementedError


def copied_share(text: Sequence[int], book: Sequence[int], n: int) -> float:
    """Делът на думите в текста, които са част от n-грама, която я има и в книгата.

    N-грамите са последователности от цели думи: (1, 2) го няма в [11, 2].
    """
    raise NotImplementedError


# -- Обиколка: другите схеми (по желание) ----------------------------------------------------------


def build_classifier(size: int, embedding: int, units: int) -> Any:
    """Много към едно: `keras.Model` от ids [B, T] към p на втория клас, [B, 1], със сигмоида.

    Номер 0 е запълване в края на реда: то не бива да променя нищо.
    """
    raise NotImplementedError


def build_from_vector(size: int, vector: int, embedding: int, units: int) -> Any:
    """Едно към много: `keras.Model` от [вектор [B, C], ids [B, T]] към логити [B, T, V].

    Векторът прави състоянието, с което започва LSTM, и не влиза никъде другаде; ids са думите преди
    това (teacher forcing). Логитите са без активация и не знаят нищо за следващите думи.
    """
    raise NotImplementedError


def build_translator(source: int, target: int, embedding: int, units: int) -> Any:
    """Много към много: `keras.Model` от [ids [B, S], ids [B, T]] към логити [B, T, V].

    Първата LSTM чете думите на източника; последното ѝ състояние, h и c, е началното на втората,
    която чете предишните думи на целта (teacher forcing). Логитите са без активация и не знаят нищо
    за следващите думи на целта. `source` и `target` са размери на речници.
    """
    raise NotImplementedError
