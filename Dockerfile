# One image for all of our processes; docker-compose.yml says which one a container runs.
FROM python:3.11-slim

RUN useradd --uid 10001 --create-home inspect && install -d -o inspect -g inspect /data
WORKDIR /app

# Pinned packages first: this layer is built again only when the pins change.
COPY pyproject.toml constraints.txt ./
RUN python -c "import tomllib; print('\n'.join(tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies']))" > requirements.txt \
    && pip install --no-cache-dir --disable-pip-version-check -c constraints.txt -r requirements.txt

COPY . .
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps -c constraints.txt .

USER inspect
ENV PYTHONUNBUFFERED=1 STORAGE_URL=file:///data
CMD ["python", "-m", "gateway"]
