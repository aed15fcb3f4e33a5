# Two images: `production`, for every process of ours, and `tools`, which also has the package that makes the topics.
# docker-compose.yml says which one a container runs. Neither holds Java, Kafka, Redis or the supervisor.
FROM python:3.11-slim AS production

RUN useradd --uid 10001 --create-home inspect && install -d -o inspect -g inspect /data
WORKDIR /app

# Pinned packages first: this layer is built again only when the pins change.
COPY pyproject.toml constraints.txt ./
RUN python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
        print('\n'.join(p['dependencies'] + p['optional-dependencies']['server']))" > requirements.txt \
    && pip install --no-cache-dir --disable-pip-version-check -c constraints.txt -r requirements.txt

# Package by package: what is not named here (devstack, tests, benchmarks) is not in the image.
COPY README.md LICENSE ./
COPY schemas schemas
COPY rows rows
COPY models models
COPY storage storage
COPY runtime runtime
COPY producer producer
COPY stream_processor stream_processor
COPY trainer trainer
COPY gateway gateway
COPY client client
COPY dashboard dashboard
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps -c constraints.txt .

USER inspect
ENV PYTHONUNBUFFERED=1 STORAGE_URL=file:///data
CMD ["python", "-m", "gateway"]


# Run once, before the processes and after an upgrade: `python -m devstack topics`; also `python -m devstack storage`.
FROM production AS tools
COPY devstack devstack
CMD ["python", "-m", "devstack", "topics"]


# Without --target the image for the processes is built.
FROM production
